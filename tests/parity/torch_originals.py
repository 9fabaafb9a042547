"""Networks in plain torch with the names and the padding of torchvision, timm and VGGFace2.

They stand in for these packages, which are not installed beside the torch of the tests. They share
nothing with dfjax but the definition of the architectures.
"""

import torch
from torch import nn
from torch.nn import functional as fn

# EfficientNet-B0: repeats, kernel, stride, expansion and width of the stages.
B0 = (
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)


class Same(nn.Conv2d):
    """Convolution with the padding of TensorFlow, which follows the size of the map."""

    def forward(self, x):
        pads = []
        for size, kernel, stride in zip(x.shape[:1:-1], self.kernel_size[::-1], self.stride[::-1]):
            missing = max((-(-size // stride) - 1) * stride + kernel - size, 0)
            pads += [missing // 2, missing - missing // 2]
        x = fn.pad(x, pads)
        return fn.conv2d(x, self.weight, self.bias, self.stride, 0, 1, self.groups)


def conv(inputs, outputs, kernel, stride=1, *, groups=1, same=False):
    """Returns a convolution without bias, by default with the symmetric padding of torch."""
    options = {"stride": stride, "groups": groups, "bias": False}
    if same:
        return Same(inputs, outputs, kernel, **options)
    return nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, **options)


class Residual(nn.Module):
    """A block of torchvision's ResNets."""

    def __init__(self, inputs, width, stride, *, bottleneck):
        super().__init__()
        outputs = 4 * width if bottleneck else width
        if bottleneck:
            shapes = ((inputs, width, 1), (width, width, 3, stride), (width, outputs, 1))
        else:
            shapes = ((inputs, width, 3, stride), (width, width, 3))
        for number, shape in enumerate(shapes, 1):
            setattr(self, f"conv{number}", conv(*shape))
            setattr(self, f"bn{number}", nn.BatchNorm2d(shape[1]))
        self.downsample = None
        if stride > 1 or inputs != outputs:
            self.downsample = nn.Sequential(
                conv(inputs, outputs, 1, stride), nn.BatchNorm2d(outputs)
            )

    def forward(self, x):
        y = fn.relu(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(y))
        if hasattr(self, "conv3"):
            y = self.bn3(self.conv3(fn.relu(y)))
        return fn.relu(y + (x if self.downsample is None else self.downsample(x)))


class ResNet(nn.Module):
    """torchvision's `resnet18` and `resnet50`, whose names timm has too."""

    def __init__(self, depths, *, bottleneck, classes=3):
        super().__init__()
        self.conv1, self.bn1 = conv(3, 64, 7, 2), nn.BatchNorm2d(64)
        inputs = 64
        for stage, depth in enumerate(depths, 1):
            width, blocks = 32 * 2**stage, []
            for position in range(depth):
                stride = 2 if stage > 1 and not position else 1
                blocks.append(Residual(inputs, width, stride, bottleneck=bottleneck))
                inputs = 4 * width if bottleneck else width
            setattr(self, f"layer{stage}", nn.Sequential(*blocks))
        self.fc = nn.Linear(inputs, classes)

    def stages(self, x):
        x = fn.max_pool2d(fn.relu(self.bn1(self.conv1(x))), 3, 2, 1)
        maps = {}
        for stage in (1, 2, 3, 4):
            maps[f"stage{stage}"] = x = getattr(self, f"layer{stage}")(x)
        return maps | {"top": x}

    def forward(self, x):
        return self.fc(self.stages(x)["top"].mean((2, 3)))


class VGGFace2(nn.Module):
    """ResNet50 as converted from Caffe: the stride is in the first convolution of a block.

    The pooling has no padding and a last window that may reach over the edge.
    """

    def __init__(self):
        super().__init__()
        self.depths, inputs = (3, 4, 6, 3), 64
        self.add("conv1_7x7_s2", 3, 64, 7, 2)
        for stage, depth in enumerate(self.depths, 2):
            width = 16 * 2**stage
            for position in range(1, depth + 1):
                name, stride = f"conv{stage}_{position}_", 2 if stage > 2 and position == 1 else 1
                self.add(f"{name}1x1_reduce", inputs, width, 1, stride)
                self.add(f"{name}3x3", width, width, 3)
                self.add(f"{name}1x1_increase", width, 4 * width, 1)
                if position == 1:
                    self.add(f"{name}1x1_proj", inputs, 4 * width, 1, stride)
                inputs = 4 * width
        self.classifier = nn.Conv2d(inputs, 3, 1)

    def add(self, name, *shape):
        setattr(self, name, conv(*shape))
        setattr(self, f"{name}_bn", nn.BatchNorm2d(shape[1]))

    def unit(self, x, name):
        return getattr(self, f"{name}_bn")(getattr(self, name)(x))

    def stages(self, x):
        x = fn.relu(self.unit(x, "conv1_7x7_s2"))
        x = fn.max_pool2d(x, 3, 2, ceil_mode=True)
        maps = {}
        for stage, depth in enumerate(self.depths, 2):
            for position in range(1, depth + 1):
                name, skip = f"conv{stage}_{position}_", x
                y = fn.relu(self.unit(x, f"{name}1x1_reduce"))
                y = fn.relu(self.unit(y, f"{name}3x3"))
                if position == 1:
                    skip = self.unit(x, f"{name}1x1_proj")
                x = fn.relu(self.unit(y, f"{name}1x1_increase") + skip)
            maps[f"stage{stage - 1}"] = x
        return maps | {"top": x}

    def forward(self, x):
        return self.classifier(self.stages(x)["top"].mean((2, 3), keepdim=True))[:, :, 0, 0]


class SqueezeExcite(nn.Module):
    """Squeeze-and-excitation whose two layers have the given names."""

    def __init__(self, width, inner, names):
        super().__init__()
        self.names = names
        setattr(self, names[0], nn.Conv2d(width, inner, 1))
        setattr(self, names[1], nn.Conv2d(inner, width, 1))

    def forward(self, x):
        reduce, expand = (getattr(self, name) for name in self.names)
        return x * torch.sigmoid(expand(fn.silu(reduce(x.mean((2, 3), keepdim=True)))))


class TimmBlock(nn.Module):
    """A block of timm's EfficientNets, `InvertedResidual` or `DepthwiseSeparableConv`."""

    def __init__(self, inputs, outputs, kernel, stride, expansion, norm, same):
        super().__init__()
        wide, self.expansion = inputs * expansion, expansion
        bns = [wide, wide, outputs] if expansion > 1 else [wide, outputs]
        for number, width in enumerate(bns, 1):
            setattr(self, f"bn{number}", norm(width))
        if expansion > 1:
            self.conv_pw = conv(inputs, wide, 1)
        self.conv_dw = conv(wide, wide, kernel, stride, groups=wide, same=same)
        self.se = SqueezeExcite(wide, inputs // 4, ("conv_reduce", "conv_expand"))
        last = conv(wide, outputs, 1)
        setattr(self, "conv_pwl" if expansion > 1 else "conv_pw", last)

    def forward(self, x):
        if self.expansion > 1:
            y = fn.silu(self.bn1(self.conv_pw(x)))
            y = self.se(fn.silu(self.bn2(self.conv_dw(y))))
            y = self.bn3(self.conv_pwl(y))
        else:
            y = self.se(fn.silu(self.bn1(self.conv_dw(x))))
            y = self.bn2(self.conv_pw(y))
        return x + y if x.shape == y.shape else y


class TimmB0(nn.Module):
    """timm's `tf_efficientnet_b0` (same) or `efficientnet_b0` (not same)."""

    def __init__(self, *, same):
        super().__init__()

        def norm(width):
            return nn.BatchNorm2d(width, eps=1e-3 if same else 1e-5)

        self.conv_stem, self.bn1 = conv(3, 32, 3, 2, same=same), norm(32)
        inputs, stages = 32, []
        for repeats, kernel, stride, expansion, width in B0:
            blocks = []
            for position in range(repeats):
                step = stride if position == 0 else 1
                blocks.append(TimmBlock(inputs, width, kernel, step, expansion, norm, same))
                inputs = width
            stages.append(nn.Sequential(*blocks))
        self.blocks = nn.Sequential(*stages)
        self.conv_head, self.bn2 = conv(inputs, 1280, 1), norm(1280)
        self.classifier = nn.Linear(1280, 3)

    def stages(self, x):
        maps = {"stem": fn.silu(self.bn1(self.conv_stem(x)))}
        x = maps["stem"]
        for number, stage in enumerate(self.blocks, 1):
            maps[f"stage{number}"] = x = stage(x)
        return maps | {"top": fn.silu(self.bn2(self.conv_head(x)))}

    def forward(self, x):
        return self.classifier(self.stages(x)["top"].mean((2, 3)))


def unit(*shape, groups=1):
    """Returns torchvision's `Conv2dNormActivation`."""
    return nn.Sequential(conv(*shape, groups=groups), nn.BatchNorm2d(shape[1]), nn.SiLU())


class TorchvisionBlock(nn.Module):
    """A block of torchvision's EfficientNets, `MBConv`."""

    def __init__(self, inputs, outputs, kernel, stride, expansion):
        super().__init__()
        wide = inputs * expansion
        self.block = nn.Sequential(
            *([unit(inputs, wide, 1)] if expansion > 1 else []),
            unit(wide, wide, kernel, stride, groups=wide),
            SqueezeExcite(wide, inputs // 4, ("fc1", "fc2")),
            nn.Sequential(conv(wide, outputs, 1), nn.BatchNorm2d(outputs)),
        )

    def forward(self, x):
        y = self.block(x)
        return x + y if x.shape == y.shape else y


class TorchvisionB0(nn.Module):
    """torchvision's `efficientnet_b0`."""

    def __init__(self):
        super().__init__()
        inputs, features = 32, [unit(3, 32, 3, 2)]
        for repeats, kernel, stride, expansion, width in B0:
            blocks = []
            for position in range(repeats):
                step = stride if position == 0 else 1
                blocks.append(TorchvisionBlock(inputs, width, kernel, step, expansion))
                inputs = width
            features.append(nn.Sequential(*blocks))
        self.features = nn.Sequential(*features, unit(inputs, 1280, 1))
        self.classifier = nn.Sequential(nn.Dropout(0.2), nn.Linear(1280, 3))

    def stages(self, x):
        names = ("stem", *(f"stage{n}" for n in range(1, 8)), "top")
        maps = {}
        for name, part in zip(names, self.features, strict=True):
            maps[name] = x = part(x)
        return maps

    def forward(self, x):
        return self.classifier(self.stages(x)["top"].mean((2, 3)))


class VGG16(nn.Module):
    """The feature extractor of torchvision's `vgg16`, whose names timm has too."""

    def __init__(self):
        super().__init__()
        layers, inputs = [], 3
        for width, count in ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3)):
            for _ in range(count):
                layers += [nn.Conv2d(inputs, width, 3, padding=1), nn.ReLU()]
                inputs = width
            layers.append(nn.MaxPool2d(2))
        self.features = nn.Sequential(*layers)
        self.classifier = nn.Sequential(nn.Linear(512, 3))

    def stages(self, x):
        return {"top": self.features(x)}

    def forward(self, x):
        return self.classifier(self.features(x).mean((2, 3)))
