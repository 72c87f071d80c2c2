"""Reading with TensorFlow: manifest → tf.data. Nothing outside this package loads TensorFlow to read.

load        `load` itself: what is asked for is checked, opened, and put together
row_files   which row an epoch reads            epochs     which epoch an iteration stands for
order       in which order its records come     memory     rows held in memory, decoded
decoding    records → tensors                   finishing  moves, Normalize, weights
fresh       small moves at each reading
chosen_fields   which fields are read, and as what they are handed out
tensors     what the twin of a field answers; twins: which it is; images, labels, masks, objects, values: the twins
epoch_row   a callback of Keras, which nothing else needs
damage      which shard is damaged
"""
