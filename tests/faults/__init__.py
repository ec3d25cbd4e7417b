"""What befalls a journal that is real: servers are killed, disks are full, files are not what they were."""
