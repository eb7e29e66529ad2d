"""python -m seblock.train"""

from seblock.train.command import main

if __name__ == "__main__":
    main()
