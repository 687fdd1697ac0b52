"""The loop over epochs in Python: schedules, stopping, validation and history."""
