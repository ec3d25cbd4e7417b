"""Real failures of a journal: killed servers, full disks, restored files and torn logs."""
