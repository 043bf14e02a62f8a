# The container image arrives with the deployment issue; until then `make up` runs the platform.
