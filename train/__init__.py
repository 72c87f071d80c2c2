"""The Keras trainer: reads datasets of `precompute`, and writes one folder per run.

    options ◄ run_folder ◄ recorder ◄ fit ◄ cli         checkpoint: state of a run in one file
    compiled: network, optimizer, mixing ◄ fit          weights, balance: what each class weighs
    {scores of each kind, samples} ◄ pictures ◄ tasks ◄ {data, measure} ◄ {fit, evaluate} ◄ cli
    tasks: trunk ◄ compact ◄ backbones ◄ networks ◄ task ◄ {segment, regress, reconstruct, detect, joint}
           {losses, task} ◄ classify ◄ multilabel       own: a user's own network
    trained ◄ {evaluate, export, predictions ◄ predict} ◄ cli

It stands on `precompute.load` and the manifest. Albumentations and OpenCV are loaded by `predict` alone, through
`precompute.prepare_images`. Nothing that a notebook needs lives here: a user's own `train.py` hides this package, the
console script `train` works all the same.
"""
