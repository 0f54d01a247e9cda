"""Where data sets come from: files, published checksums, home pages, licences. No set is part of analogsim.

Checksums are those that the authors or the usual loaders publish for their files; those of unpacked MNIST files were
taken from files whose packed form has the published one. A file without a checksum is not fetched.
"""

from __future__ import annotations

from analogsim.tasks.source import Download, File, Source


def _idx(base: str, *rows: tuple[str, int, str, int, str]) -> tuple[File, ...]:
    """Files of MNIST's kind: name, bytes and SHA-256 unpacked, bytes and MD5 as gzip."""
    return tuple(
        File(name, size, f"sha256:{sha}", Download(f"{base}{name}.gz", packed, f"md5:{md5}"))
        for name, size, sha, packed, md5 in rows
    )


_IMAGES, _LABELS, _TEST_IMAGES, _TEST_LABELS = (
    f"{part}-{what}-ubyte" for part in ("train", "t10k") for what in ("images-idx3", "labels-idx1")
)

_MNIST = _idx(
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
    (
        _IMAGES,
        47_040_016,
        "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
        9_912_422,
        "f68b3c2dcbeaaa9fbdd348bbdeb94873",
    ),
    (
        _LABELS,
        60_008,
        "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
        28_881,
        "d53e105ee54ea40749a09fcbcd1e9432",
    ),
    (
        _TEST_IMAGES,
        7_840_016,
        "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
        1_648_877,
        "9fb629c4189551a2d022fa330f9573f3",
    ),
    (
        _TEST_LABELS,
        10_008,
        "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
        4_542,
        "ec29112dd5afa0611ce80d1b7f02629c",
    ),
)
_FASHION = _idx(
    "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
    (
        _IMAGES,
        47_040_016,
        "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
        26_421_880,
        "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
    ),
    (
        _LABELS,
        60_008,
        "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
        29_515,
        "25c81989df183df01b3e8a0aad5dffbe",
    ),
    (
        _TEST_IMAGES,
        7_840_016,
        "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
        4_422_102,
        "bef4ecab320f06d8554ea6380940ec79",
    ),
    (
        _TEST_LABELS,
        10_008,
        "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
        5_148,
        "bb300cfdad3c16e7a12a480ee83cd310",
    ),
)
_CIFAR10 = tuple(
    File(name, 30_730_000, f"md5:{md5}")
    for name, md5 in (
        ("data_batch_1.bin", "5dd7e06a14cb22eb9f671a540d1b7c25"),
        ("data_batch_2.bin", "5ea93a67294ea407fff1d09f752e9692"),
        ("data_batch_3.bin", "942cd6a4bcdd0dd3c604fbe906cb4421"),
        ("data_batch_4.bin", "ae636b3ba5c66a11e91e8cb52e771fcb"),
        ("data_batch_5.bin", "53f37980c15c3d472c316c40844f3f0d"),
        ("test_batch.bin", "803d5f7f4d78ea53de84dbe85f74fb6d"),
    )
)
_SARCOS = (
    File(
        "sarcos_inv.mat",
        instead=File(
            "sarcos_inv_subset.npz",
            1_368_490,
            "sha256:62cdf98049e2e52808600185e13dce4699705434e6fd960ba3ebbd336855a660",
        ),
    ),
    File(
        "sarcos_inv_test.mat",
        996_776,
        "sha256:161a59b5c3b4f4b404584323f181607b2acbe620eb134dc720760dc3f38f5cec",
    ),
)

SOURCES: dict[str, Source] = {
    source.name: source
    for source in (
        Source(
            "digits",
            "digits",
            "1,797 handwritten digits, 8 x 8 pixels; comes with scikit-learn",
            "CC BY 4.0",
            "E. Alpaydin, C. Kaynak, Optical Recognition of Handwritten Digits, UCI repository, 1998",
        ),
        Source(
            "teacher",
            "teacher",
            "samples of a random network, drawn from a seed (`data.teacher`)",
            "none needed",
            "none needed",
        ),
        Source(
            "mnist",
            "MNIST",
            "60,000 + 10,000 handwritten digits, 28 x 28 pixels",
            "usually given as CC BY-SA 3.0",
            "Y. LeCun, L. Bottou, Y. Bengio, P. Haffner, Proceedings of the IEEE 86, 1998",
            "http://yann.lecun.com/exdb/mnist/",
            "the four IDX files, gzipped or not",
            _MNIST,
            ".gz",
        ),
        Source(
            "fashion-mnist",
            "Fashion-MNIST",
            "60,000 + 10,000 articles of clothing, 28 x 28 pixels",
            "MIT",
            "H. Xiao, K. Rasul, R. Vollgraf, arXiv:1708.07747, 2017",
            "https://github.com/zalandoresearch/fashion-mnist",
            "the four IDX files, gzipped or not",
            _FASHION,
            ".gz",
        ),
        Source(
            "cifar-10",
            "CIFAR-10",
            "50,000 + 10,000 colour images of 10 classes, 32 x 32 pixels",
            "none stated",
            "A. Krizhevsky, Learning Multiple Layers of Features from Tiny Images, technical report, 2009",
            "https://www.cs.toronto.edu/~kriz/cifar.html",
            "the six .bin files of the binary version, plain or as .xz",
            _CIFAR10,
            ".xz",
            "cifar-10-batches-bin",
            Download(
                "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",
                170_052_171,
                "md5:c32a1d4ab5d03f1284b67883e8d87530",
            ),
        ),
        Source(
            "cifar-100",
            "CIFAR-100",
            "50,000 + 10,000 colour images of 100 classes, 32 x 32 pixels",
            "none stated",
            "A. Krizhevsky, Learning Multiple Layers of Features from Tiny Images, technical report, 2009",
            "https://www.cs.toronto.edu/~kriz/cifar.html",
            "train.bin and test.bin of the binary version, plain or as .xz",
            (File("train.bin", 153_700_000), File("test.bin", 30_740_000)),
            ".xz",
            "cifar-100-binary",
            Download(
                "https://www.cs.toronto.edu/~kriz/cifar-100-binary.tar.gz",
                168_513_733,
                "md5:03b5dce01913d631647c71ecec9e9cb8",
            ),
        ),
        Source(
            "tiny-imagenet",
            "Tiny ImageNet",
            "100,000 + 10,000 colour images of 200 classes, 64 x 64 pixels",
            "ImageNet's terms: non-commercial research and education",
            "Y. Le, X. Yang, Tiny ImageNet Visual Recognition Challenge, CS 231N, Stanford, 2015",
            "http://cs231n.stanford.edu/",
            "wnids.txt, train/<wnid>/images/*.JPEG, val/images/*.JPEG and val/val_annotations.txt",
            (File("wnids.txt"), File("val/val_annotations.txt")),
            "",
            "tiny-imagenet-200",
            Download(
                "http://cs231n.stanford.edu/tiny-imagenet-200.zip",
                248_100_043,
                "md5:90528d7ca1a48142e341f4ef8d21d0de",
            ),
        ),
        Source(
            "sarcos",
            "SARCOS",
            "44,484 + 4,449 states of a robot arm: 21 inputs, 7 joint torques; regression",
            "none stated",
            "S. Vijayakumar, S. Schaal, ICML 2000; C. Rasmussen, C. Williams, Gaussian Processes, MIT Press, 2006",
            "http://www.gaussianprocess.org/gpml/data/",
            "sarcos_inv.mat and sarcos_inv_test.mat; or a part of the training rows, as sarcos_inv_subset.npz "
            "(sarcos_inv, N x 28; row_index, N)",
            _SARCOS,
        ),
    )
}
"""Every data set by name."""
