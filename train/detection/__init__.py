"""Detection by one grid of cells: truth as a tensor, network, loss, boxes from the output, scores.

truth, grid ◄ assign ◄ loss;  grid ◄ decode;  truth ◄ matching ◄ scores;  truth ◄ coco
"""
