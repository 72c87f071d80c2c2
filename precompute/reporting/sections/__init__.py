"""What a report says, as frozen data: each section has a `meaning`, one sentence for people."""
