"""What each command of `hie` does, one file a command: functions that tests call directly."""
