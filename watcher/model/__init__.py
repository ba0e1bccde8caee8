"""What the product speaks of, as frozen data: no clock, no disk, no network, no threads, no logs."""
