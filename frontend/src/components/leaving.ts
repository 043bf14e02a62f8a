import { useSignOut } from '@/data/account'
import { failed } from './toasts'

/** Signs out, and leaves nothing of the account in memory. */
export function useLeaving() {
  const { mutateAsync: signOut } = useSignOut()
  return async () => {
    try {
      await signOut()
    } catch (error) {
      return failed(error)
    }
    location.assign('/login')
  }
}
