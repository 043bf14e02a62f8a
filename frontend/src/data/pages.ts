import { useInfiniteQuery } from '@tanstack/vue-query'
import { computed, toValue, type MaybeRefOrGetter } from 'vue'

export interface PageOf<T> {
  items: T[]
  next_cursor?: string | null
}

/** A list that is asked for page by page. `key` begins with the noun that live events name. */
export function usePages<T, P extends PageOf<T> = PageOf<T>>(
  key: MaybeRefOrGetter<readonly unknown[]>,
  ask: (cursor: string | undefined) => Promise<P>,
  enabled: MaybeRefOrGetter<boolean> = true,
) {
  const query = useInfiniteQuery({
    queryKey: computed(() => toValue(key)),
    queryFn: ({ pageParam }: { pageParam: string | undefined }) => ask(pageParam),
    initialPageParam: undefined as string | undefined,
    getNextPageParam: (page: P) => page.next_cursor ?? undefined,
    placeholderData: (kept) => kept,
    enabled,
  })
  return {
    items: computed<T[]>(() => query.data.value?.pages.flatMap((page) => page.items) ?? []),
    first: computed(() => query.data.value?.pages[0] as P | undefined),
    error: query.error,
    loading: query.isPending,
    more: query.hasNextPage,
    loadMore: () => void query.fetchNextPage(),
    loadingMore: query.isFetchingNextPage,
    again: () => void query.refetch(),
  }
}

export type Pages<T> = ReturnType<typeof usePages<T>>
