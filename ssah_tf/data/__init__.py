"""Images: where they come from, how a file is decoded, which part each plays, how batches form."""

from typing import TYPE_CHECKING

from ssah_tf.system.first_use import on_first_use

if TYPE_CHECKING:
    from ssah_tf.data.fashion import load_fashion
    from ssah_tf.data.image_set import ImageSet
    from ssah_tf.data.sources.by_name import load_images
    from ssah_tf.data.sources.class_folders import load_class_folders
    from ssah_tf.data.sources.label_file import load_labelled_folder
    from ssah_tf.data.sources.loaded import Loaded
    from ssah_tf.data.split import Split, make_split

__all__ = [
    "ImageSet",
    "Loaded",
    "Split",
    "load_class_folders",
    "load_fashion",
    "load_images",
    "load_labelled_folder",
    "make_split",
]

__getattr__ = on_first_use(
    __name__,
    {
        "ImageSet": "image_set",
        "Loaded": "sources.loaded",
        "Split": "split",
        "load_class_folders": "sources.class_folders",
        "load_fashion": "fashion",
        "load_images": "sources.by_name",
        "load_labelled_folder": "sources.label_file",
        "make_split": "split",
    },
)
