"""Reading with TensorFlow: manifest → tf.data. Nothing outside this package loads TensorFlow to read.

load        `load` itself: rows ► shards ► interleaved ► shuffled ► batches ► parsed ► handed out
epochs      which epoch an iteration stands for, and which rows it reads
order       the records of these rows, in order            memory     rows held in memory, decoded
batches     from a batch of records to what is handed out  weights    weights of sources and classes
fields      fields as tensors                              objects    those of objects
fresh       small moves at each reading                    epoch_row  a callback of Keras, which nothing else needs
"""
