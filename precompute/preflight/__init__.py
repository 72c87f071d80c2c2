"""Before the job: options and pipelines are tried on a sample, which shows problems and costs early."""
