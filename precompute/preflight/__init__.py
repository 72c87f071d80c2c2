"""Before the job: options and pipelines are tried on a sample, so that what is wrong, and the cost, show now."""
