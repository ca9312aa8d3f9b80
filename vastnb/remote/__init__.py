"""On the machine: commands, files, ports and cells, over one SSH connection to each instance.

The system's own ``ssh`` carries everything (`ssh`, `session`): a master connection that is kept,
and calls that ride on it. Above it, one module for each thing that one does there: `run`, `jobs`,
`copying`, `ports`, `kernel`. `box` joins them to an `Instance`; nothing here talks to Vast.ai
itself. A machine's host is a stranger: what comes from there is text, pictures and plain values,
and is never run here (`outputs`, `values`).
"""
