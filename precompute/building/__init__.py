"""Each command states the cells of the grid that shall be there; one loop writes those that receipts do not prove.

build, choose_generation, make_plan     sources and options → the generation on disk that they belong to, or a new plan
earlier_rules                           what datasets keep that were made by other rules
change_rows, follow                     rows of a listed dataset come and go
cells, receipts                         which cells are wanted, what proves them, which tasks are missing
write, repair, space                    the loop; shards put back and sources tried again; room on the disk
execute, workers, cluster               who runs tasks, also when they die: processes, or a Dask cluster
task, heartbeat, cluster_worker         what a worker does
finish                                  from receipts to row files and manifest
folder, files                           the dataset's folder, its lock, and all that is done to files
progress, result                        what is said meanwhile and at the end
"""
