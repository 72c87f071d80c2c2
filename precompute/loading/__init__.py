"""Reading with TensorFlow: manifest → tf.data. Nothing outside this package loads TensorFlow to read.

loader      `load` itself: what is asked for is checked, opened, and put together
row_files   which row an epoch reads            epochs     which epoch an iteration stands for
order       in which order its records come     parts      what part of it a reader reads
decoding    records → tensors                   memory     … held in memory
fresh       small moves at each reading         finishing  moves, Normalize, weights
boxes       boxes as tensors                    variables  what Python tells a graph
epoch_row   a callback of Keras, which nothing else needs
damage      which shard is damaged
"""
