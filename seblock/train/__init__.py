from seblock.train.loop import *  # noqa: F403
