"""Reading with TensorFlow: manifest → tf.data. Nothing outside this package loads TensorFlow to read.

load        `load` itself: what is asked for is checked, opened, and put together
row_files   which row an epoch reads            epochs     which epoch an iteration stands for
order       in which order its records come     memory     rows held in memory, decoded
batches     records → what is handed out        weights    what sources and classes weigh
fields      what the twin of a field answers; images, labels, masks, values       objects   the twin of objects
fresh       small moves at each reading
epoch_row   a callback of Keras, which nothing else needs
"""
