"""Names that configs had before version 0.2: users' own files and scripts may go on with them."""

# ruff: noqa: E501 - names that the reference gave

OLD_NAMES = {
  "segmentation/cityscapes/seg_hrnet_w18_small_v1_512x1024_sgd_lr1e_2_wd5e_4_bs_12_epoch484": (
    "segmentation/cityscapes:w18_small_v1"
  ),
  "segmentation/cityscapes/seg_hrnet_w18_small_v2_512x1024_sgd_lr1e_2_wd5e_4_bs_12_epoch484": (
    "segmentation/cityscapes:w18_small_v2"
  ),
  "segmentation/cityscapes/seg_hrnet_w48_train_512x1024_sgd_lr1e_2_wd5e_4_bs_12_epoch484": (
    "segmentation/cityscapes:w48"
  ),
  "segmentation/cityscapes/seg_hrnet_w48_train_ohem_512x1024_sgd_lr1e_2_wd5e_4_bs_12_epoch484": (
    "segmentation/cityscapes:w48_ohem"
  ),
  "segmentation/cityscapes/seg_hrnet_w48_trainval_512x1024_sgd_lr1e_2_wd5e_4_bs_12_epoch484x2": (
    "segmentation/cityscapes:w48_trainval"
  ),
  "segmentation/cityscapes/seg_hrnet_w48_trainval_ohem_512x1024_sgd_lr1e_2_wd5e_4_bs_12_epoch484x2": (
    "segmentation/cityscapes:w48_trainval_ohem"
  ),
  "segmentation/ocr_branch/cityscapes/seg_hrnet_w48_train_512x1024_sgd_lr1e_2_wd5e_4_bs_12_epoch484": (
    "segmentation/cityscapes:w48_ocrbranch"
  ),
  "segmentation/ocr_branch/cityscapes/seg_hrnet_w48_train_512x1024_sgd_lr1e_2_wd5e_4_bs_12_epoch484_paddle": (
    "segmentation/cityscapes:w48_paddle"
  ),
  "segmentation/ocr_branch/cityscapes/seg_hrnet_w48_train_512x1024_sgd_lr1e_2_wd5e_4_bs_16_epoch484_paddle": (
    "segmentation/cityscapes:w48_paddle_bs8"
  ),
  "segmentation/ocr_branch/cityscapes/seg_hrnet_w48_train_ohem_512x1024_sgd_lr1e_2_wd5e_4_bs_12_epoch484": (
    "segmentation/cityscapes:w48_ohem_ocrbranch"
  ),
  "segmentation/ocr_branch/cityscapes/seg_hrnet_w48_trainval_512x1024_sgd_lr1e_2_wd5e_4_bs_12_epoch484x2": (
    "segmentation/cityscapes:w48_trainval_ocrbranch"
  ),
  "segmentation/ocr_branch/cityscapes/seg_hrnet_w48_trainval_ohem_512x1024_sgd_lr1e_2_wd5e_4_bs_12_epoch484x2": (
    "segmentation/cityscapes:w48_trainval_ohem_ocrbranch"
  ),
  "segmentation/ocr_branch/cityscapes/seg_hrnet_ocr_w48_train_512x1024_sgd_lr1e_2_wd5e_4_bs_12_epoch484": (
    "segmentation/cityscapes:w48_ocr"
  ),
  "segmentation/ocr_branch/cityscapes/seg_hrnet_ocr_w48_train_512x1024_sgd_lr1e_2_wd5e_4_bs_16_epoch484_paddle": (
    "segmentation/cityscapes:w48_ocr_paddle"
  ),
  "segmentation/ocr_branch/cityscapes/seg_hrnet_ocr_w48_trainval_512x1024_sgd_lr1e_2_wd5e_4_bs_12_epoch484": (
    "segmentation/cityscapes:w48_ocr_trainval"
  ),
  "segmentation/lip/seg_hrnet_w48_473x473_sgd_lr7e_3_wd5e_4_bs_40_epoch150": "segmentation/lip:w48",
  "segmentation/ocr_branch/lip/seg_hrnet_w48_473x473_sgd_lr7e_3_wd5e_4_bs_40_epoch150": (
    "segmentation/lip:w48_ocrbranch"
  ),
  "segmentation/ocr_branch/lip/seg_hrnet_w48_473x473_sgd_lr7e_3_wd5e_4_bs_40_epoch150_paddle": (
    "segmentation/lip:w48_paddle"
  ),
  "segmentation/ocr_branch/lip/seg_hrnet_ocr_w48_473x473_sgd_lr7e_3_wd5e_4_bs_40_epoch150": (
    "segmentation/lip:w48_ocr"
  ),
  "segmentation/pascal_ctx/seg_hrnet_w48_cls59_480x480_sgd_lr4e_3_wd1e_4_bs_16_epoch200": (
    "segmentation/pascal_context:w48"
  ),
  "segmentation/pascal_ctx/seg_hrnet_w48_cls60_480x480_sgd_lr4e_3_wd1e_4_bs_16_epoch200": (
    "segmentation/pascal_context:w48_cls60"
  ),
  "segmentation/ocr_branch/pascal_ctx/seg_hrnet_w48_cls59_520x520_sgd_lr1e_3_wd1e_4_bs_16_epoch200": (
    "segmentation/pascal_context:w48_ocrbranch"
  ),
  "segmentation/ocr_branch/pascal_ctx/seg_hrnet_w48_cls59_520x520_sgd_lr1e_3_wd1e_4_bs_16_epoch200_paddle": (
    "segmentation/pascal_context:w48_paddle"
  ),
  "segmentation/ocr_branch/pascal_ctx/seg_hrnet_ocr_w48_cls59_520x520_sgd_lr1e_3_wd1e_4_bs_16_epoch200": (
    "segmentation/pascal_context:w48_ocr"
  ),
  "segmentation/ocr_branch/pascal_ctx/seg_hrnet_ocr_w48_cls60_520x520_sgd_lr1e_3_wd1e_4_bs_16_epoch200": (
    "segmentation/pascal_context:w48_ocr_cls60"
  ),
  "segmentation/ocr_branch/cocostuff/seg_hrnet_w48_520x520_sgd_lr1e_3_wd1e_4_bs_16_epoch110": (
    "segmentation/cocostuff10k:w48"
  ),
  "segmentation/ocr_branch/cocostuff/seg_hrnet_w48_520x520_ohem_sgd_lr1e_3_wd1e_4_bs_16_epoch110": (
    "segmentation/cocostuff10k:w48_ohem"
  ),
  "segmentation/ocr_branch/cocostuff/seg_hrnet_w48_520x520_ohem_sgd_lr1e_3_wd1e_4_bs_16_epoch110_paddle": (
    "segmentation/cocostuff10k:w48_ohem_paddle"
  ),
  "segmentation/ocr_branch/cocostuff/seg_hrnet_ocr_w48_520x520_ohem_sgd_lr1e_3_wd1e_4_bs_16_epoch110": (
    "segmentation/cocostuff10k:w48_ocr_ohem"
  ),
  "segmentation/ocr_branch/cocostuff/seg_hrnet_ocr_w48_520x520_ohem_sgd_lr1e_3_wd1e_4_bs_16_epoch110_paddle": (
    "segmentation/cocostuff10k:w48_ocr_ohem_paddle"
  ),
  "segmentation/ocr_branch/ade20k/seg_hrnet_w48_520x520_sgd_lr2e_2_wd1e_4_bs_16_epoch120": (
    "segmentation/ade20k:w48"
  ),
  "segmentation/ocr_branch/ade20k/seg_hrnet_w48_520x520_ohem_sgd_lr2e_2_wd1e_4_bs_16_epoch120": (
    "segmentation/ade20k:w48_ohem"
  ),
  "segmentation/ocr_branch/ade20k/seg_hrnet_w48_520x520_ohem_sgd_lr2e_2_wd1e_4_bs_16_epoch120_paddle": (
    "segmentation/ade20k:w48_ohem_paddle"
  ),
  "segmentation/ocr_branch/ade20k/seg_hrnet_ocr_w48_520x520_ohem_sgd_lr2e_2_wd1e_4_bs_16_epoch120": (
    "segmentation/ade20k:w48_ocr_ohem"
  ),
  "segmentation/ocr_branch/ade20k/seg_hrnet_ocr_w48_520x520_ohem_sgd_lr2e_2_wd1e_4_bs_16_epoch120_paddle": (
    "segmentation/ade20k:w48_ocr_ohem_paddle"
  ),
  "segmentation/camvid_w18_small_v1": "segmentation/camvid:w18_small_v1",
  "segmentation/camvid_ocr_w18_small_v1": "segmentation/camvid:w18_small_v1_ocr",
  "segmentation/image_folder_w18_small_v1": "segmentation/image_folder:w18_small_v1",
  "quickstart": "quickstart",
  "landmarks/wflw_w18": "landmarks/wflw:w18",
  "landmarks/cofw_w18": "landmarks/cofw:w18",
  "landmarks/aflw_w18": "landmarks/aflw:w18",
  "landmarks/face300w_w18": "landmarks/face300w:w18",
  "landmarks/face68_w18": "landmarks/face68:w18",
  "landmarks/face68_w18_small_v1": "landmarks/face68:w18_small_v1",
  "landmarks/csv_w18_small_v1": "landmarks/landmarks_csv:w18_small_v1",
  "landmarks/shapes_w18_small_v1": "landmarks/shapes:w18_small_v1",
  "classification/imagenet_w18_small_v1": "classification/imagenet:w18_small_v1",
  "classification/imagenet_w18_small_v2": "classification/imagenet:w18_small_v2",
  "classification/imagenet_w18": "classification/imagenet:w18",
  "classification/imagenet_w30": "classification/imagenet:w30",
  "classification/imagenet_w32": "classification/imagenet:w32",
  "classification/imagenet_w40": "classification/imagenet:w40",
  "classification/imagenet_w44": "classification/imagenet:w44",
  "classification/imagenet_w48": "classification/imagenet:w48",
  "classification/imagenet_w64": "classification/imagenet:w64",
  "classification/shapes_w18_small_v1": "classification/shapes:w18_small_v1",
  "classification/coco_crops_w18_small_v1": "classification/coco_crops:w18_small_v1",
  "detection/coco": "detection/coco",
  "detection/shapes_w18_small_v1": "detection/shapes",
  "detection/coco_few_w18_small_v1": "detection/coco_few",
}
