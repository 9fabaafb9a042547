"""PyTorch forms of the benchmark workloads, run as often as the lines of standard input say.

    python torch_peer.py '{"workload": "b0", "mode": "infer", "batch": 2, "device": "cpu", ...}'

Prints `ready`, then for each number read, which is a number of steps, `[wall, user, system]` of all
of them: the time that passed and the CPU seconds of the process. The line `peak` is answered by the
largest number of bytes of the GPU that tensors took at once since the first steps. Weights and data
are random; the layers, shapes, optimizer, dropout and drop path are those of `dfjax bench`.

On a GPU everything is in the layout channels_last, cuDNN chooses its algorithms by timing them,
float32 products use TF32 (JAX's default too), and Adam is fused.
"""

import json
import math
import resource
import sys
import time

import torch
import torch.nn.functional as F
from torch import nn

WIDTH_DEPTH_DROPOUT = {"b0": (1.0, 1.0, 0.2), "b4": (1.4, 1.8, 0.4)}
# repeats, kernel, stride, expansion, channels
ROWS = [(1, 3, 1, 1, 16), (2, 3, 2, 6, 24), (2, 5, 2, 6, 40), (3, 3, 2, 6, 80), (3, 5, 1, 6, 112),
        (4, 5, 2, 6, 192), (1, 3, 1, 6, 320)]  # fmt: skip


def width_of(channels, factor):
    rounded = max(8, int(channels * factor + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * channels * factor else rounded


class SamePad(nn.Module):
    """Convolution with TensorFlow's SAME padding, normalisation, activation."""

    def __init__(self, i, o, k=1, stride=1, groups=1, act=True):
        super().__init__()
        self.conv = nn.Conv2d(i, o, k, stride, groups=groups, bias=False)
        self.bn = nn.BatchNorm2d(o, eps=1e-3, momentum=0.01)
        self.k, self.stride, self.act = k, stride, act

    def forward(self, x):
        if self.k > 1:
            total = [
                max((-(-n // self.stride) - 1) * self.stride + self.k - n, 0) for n in x.shape[2:]
            ]
            (h, w) = total
            x = F.pad(x, (w // 2, w - w // 2, h // 2, h - h // 2))
        x = self.bn(self.conv(x))
        return F.silu(x) if self.act else x


class Block(nn.Module):
    def __init__(self, i, o, k, stride, expand, drop):
        super().__init__()
        mid = i * expand
        self.expand = SamePad(i, mid) if expand > 1 else nn.Identity()
        self.spatial = SamePad(mid, mid, k, stride, groups=mid)
        self.squeeze, self.excite = (
            nn.Conv2d(mid, max(1, i // 4), 1),
            nn.Conv2d(max(1, i // 4), mid, 1),
        )
        self.project = SamePad(mid, o, act=False)
        self.skip, self.drop = stride == 1 and i == o, drop

    def forward(self, x):
        y = self.spatial(self.expand(x))
        y = y * self.excite(F.silu(self.squeeze(y.mean((2, 3), keepdim=True)))).sigmoid()
        y = self.project(y)
        if not self.skip:
            return y
        if self.training and self.drop:
            keep = torch.rand(len(y), 1, 1, 1, device=y.device) >= self.drop
            y = y * keep / (1 - self.drop)
        return x + y


def efficientnet(name):
    width, depth, _ = WIDTH_DEPTH_DROPOUT[name]
    plan = [row for row in ROWS for _ in range(math.ceil(row[0] * depth))]
    firsts = [n == 0 or plan[n - 1] is not row for n, row in enumerate(plan)]
    channels = width_of(32, width)
    layers = [SamePad(3, channels, 3, 2)]
    for n, ((_, k, stride, expand, o), first) in enumerate(zip(plan, firsts)):
        o = width_of(o, width)
        layers.append(Block(channels, o, k, stride if first else 1, expand, 0.2 * n / len(plan)))
        channels = o
    top = width_of(1280, width)
    return nn.Sequential(*layers, SamePad(channels, top)), top


class Frames(nn.Module):
    def __init__(self, name):
        super().__init__()
        self.trunk, channels = efficientnet(name)
        self.drop = nn.Dropout(WIDTH_DEPTH_DROPOUT[name][2])
        self.head = nn.Linear(channels, 1, bias=False)

    def forward(self, x):
        return self.head(self.drop(self.trunk(x).mean((2, 3))))[:, 0]


class Recurrent(nn.Module):
    """ConvLSTM with one convolution over input and state together, [B, T, C, h, w]."""

    def __init__(self, inputs, state):
        super().__init__()
        self.gates, self.state = nn.Conv2d(inputs + state, 4 * state, 3, padding=1), state

    def forward(self, x):
        hidden = cell = x.new_zeros(x.shape[0], self.state, *x.shape[3:])
        states = []
        for frame in x.unbind(1):
            i, f, g, o = self.gates(torch.cat((frame, hidden), 1)).chunk(4, 1)
            cell = f.sigmoid() * cell + i.sigmoid() * g.tanh()
            hidden = o.sigmoid() * cell.tanh()
            states.append(hidden)
        return torch.stack(states, 1)


class Dual(nn.Module):
    def __init__(self):
        super().__init__()
        (self.hq, wide), (self.lq, narrow) = efficientnet("b4"), efficientnet("b0")
        self.recurrent = nn.Sequential(Recurrent(wide + narrow, 256), Recurrent(256, 128))
        self.project = nn.Linear(wide, narrow)
        self.weigh = nn.Sequential(nn.Linear(2 * narrow, 512), nn.ReLU(), nn.Linear(512, 2))
        self.classify = nn.Sequential(
            nn.Linear(narrow + 128, 512), nn.ReLU(), nn.Dropout(0.5),
            nn.Linear(512, 256), nn.ReLU(), nn.Dropout(0.3), nn.Linear(256, 1),
        )  # fmt: skip

    def forward(self, streams):
        hq, lq = streams
        b, t = hq.shape[:2]
        hq, lq = (
            net(x.flatten(0, 1).contiguous(memory_format=torch.channels_last))
            for net, x in ((self.hq, hq), (self.lq, lq))
        )
        both = torch.cat((hq, F.interpolate(lq, size=hq.shape[2:], mode="bilinear")), 1)
        temporal = self.recurrent(both.unflatten(0, (b, t)))[:, -1].mean((2, 3))
        hq, lq = (x.mean((2, 3)).unflatten(0, (b, t)).mean(1) for x in (hq, lq))
        hq = self.project(hq)
        weight = self.weigh(torch.cat((hq, lq), 1)).softmax(1)
        fused = weight[:, :1] * hq + weight[:, 1:] * lq
        return self.classify(torch.cat((fused, temporal), 1))[:, 0]


class Head(nn.Module):
    """Transformer over feature vectors [B, T, 1280], pooled by the attention of a query."""

    def __init__(self, inputs=1280, width=256, layers=4):
        super().__init__()
        layer = nn.TransformerEncoderLayer(
            width, 4, 512, 0.1, activation="gelu", batch_first=True, norm_first=True
        )
        self.project = nn.Linear(inputs, width)
        self.encode = nn.TransformerEncoder(layer, layers, enable_nested_tensor=False)
        self.query = nn.Parameter(torch.randn(width) * width**-0.5)
        self.classify = nn.Linear(width, 1)

    def forward(self, x):
        x = self.project(x)
        t, d = x.shape[1:]
        column = torch.arange(d, device=x.device)
        rate = 10_000.0 ** (-(column // 2 * 2) / d)
        angle = torch.arange(t, device=x.device)[:, None] * rate
        x = self.encode(x + torch.where(column % 2 == 1, angle.cos(), angle.sin()))
        weights = (x @ self.query).softmax(1)
        return self.classify((weights[..., None] * x).sum(1))[:, 0]


class UNet(nn.Module):
    """64-128-256-512, two 3x3 convolutions a level, pooled down, bilinear up; mean RGB as logit."""

    def __init__(self, widths=(64, 128, 256, 512)):
        super().__init__()
        below = zip(widths[1:], widths)
        self.encoder = nn.ModuleList(map(self.level, (3, *widths), widths))
        self.decoder = nn.ModuleList(self.level(low + high, high) for low, high in below)
        self.rgb = nn.Conv2d(widths[0], 3, 1)

    @staticmethod
    def level(i, o):
        layers = []
        for a in (i, o):
            layers += [nn.Conv2d(a, o, 3, padding=1, bias=False), nn.BatchNorm2d(o), nn.ReLU()]
        return nn.Sequential(*layers)

    def forward(self, image):
        maps = [self.encoder[0](image)]
        for block in self.encoder[1:]:
            maps.append(block(F.max_pool2d(maps[-1], 2)))
        x = maps.pop()
        for block in reversed(self.decoder):
            skip = maps.pop()
            x = F.interpolate(x, size=skip.shape[2:], mode="bilinear")
            x = block(torch.cat((x, skip), 1))
        return (image + self.rgb(x)).mean((1, 2, 3))


def make(settings):
    b, t, s = settings["batch"], settings["frames"], settings["size"]
    if settings["workload"] == "convlstm":
        return Recurrent(1792, 256), torch.randn(b, t, 1792, 7, 7)
    if settings["workload"] == "dual_stream":
        return Dual(), (torch.randn(b, t, 3, s, s), torch.randn(b, t, 3, s // 2, s // 2))
    if settings["workload"] == "transformer_head":
        return Head(), torch.randn(b, t, 1280)
    model = UNet() if settings["workload"] == "unet" else Frames(settings["workload"])
    model = model.to(memory_format=torch.channels_last)
    return model, torch.randn(b, 3, s, s).contiguous(memory_format=torch.channels_last)


def place(model, data, settings):
    """Returns the model and its data on the device of the settings, compiled if they say so."""
    device = settings["device"]
    if device == "cuda":
        torch.backends.cudnn.benchmark = True
        torch.set_float32_matmul_precision("high")
        model = model.to(device, memory_format=torch.channels_last)
        one = isinstance(data, torch.Tensor)
        data = [channels_last(x.to(device)) for x in ([data] if one else data)]
        data = data[0] if one else tuple(data)
    return torch.compile(model) if settings["compile"] else model, data


def channels_last(x):
    """Returns images [B, C, h, w] or clips [B, T, C, h, w] with their channels last in memory."""
    if x.ndim < 4:
        return x
    return x.movedim(-3, -1).contiguous().movedim(-1, -3)


def main():
    settings = json.loads(sys.argv[1])
    torch.manual_seed(0)
    model, data = place(*make(settings), settings)
    cuda, training = settings["device"] == "cuda", settings["mode"] == "train"
    model.train(training)
    optimizer = torch.optim.Adam(model.parameters(), 1e-4, fused=cuda)
    bfloat16 = settings["dtype"] == "bfloat16"
    cast = torch.autocast(settings["device"], torch.bfloat16, enabled=bfloat16)

    def step():
        with torch.set_grad_enabled(training), cast:
            output = model(data)
            if not training:
                return
            if output.ndim == 1:
                loss = F.binary_cross_entropy_with_logits(output, torch.ones_like(output))
            else:
                loss = output.square().mean()
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()

    def run(count):
        before, start = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
        for _ in range(count):
            step()
        if cuda:
            torch.cuda.synchronize()
        wall, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_SELF)
        return [wall, after.ru_utime - before.ru_utime, after.ru_stime - before.ru_stime]

    print("ready", flush=True)
    ran = False
    for line in sys.stdin:
        if line.strip() == "peak":
            answer = torch.cuda.max_memory_allocated()
        else:
            answer = run(int(line))
            if cuda and not ran:
                torch.cuda.reset_peak_memory_stats()
            ran = True
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
