"""The job: tasks, receipts, and what makes them safe."""
