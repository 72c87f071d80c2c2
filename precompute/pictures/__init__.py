"""Pictures of sources and records: what fields draw, laid on images and put together on sheets."""
