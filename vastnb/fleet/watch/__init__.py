"""Watching: one picture of all instances, that widgets, waits and handles share.

Decided, as values: `picture`, `changes`, `notices`, `tempo`, `state`. Done and kept: `look`,
`probe`, `eventlog`. For one client: `watcher`, and waiting on it, `wait`.
"""
