"""When schedules are due: pure; the scheduler acts on it, the gateway foretells by it."""
