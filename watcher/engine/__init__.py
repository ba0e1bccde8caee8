"""The running watcher: plan, look, act, in supervised loops."""
