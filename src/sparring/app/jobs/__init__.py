"""What happens in child processes: plain functions of values and bytes, called by `worker` through `work`."""
