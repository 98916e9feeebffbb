"""ResNet-8 of MLPerf Tiny (width 16, 10 classes) in PyTorch on one thread, NHWC. For every line on stdin that names a
work of WORKS it does one batch of 32 and prints the milliseconds of CPU time that took."""

import sys
import time

import torch
from torch import nn
from torch.nn.functional import cross_entropy
from torch.nn.utils.fusion import fuse_conv_bn_eval

BATCH, CLASSES, WIDTH = 32, 10, 16


def convolution(inputs, outputs, size, stride):
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, size, stride, padding=size // 2, bias=False),
        nn.BatchNorm2d(outputs),
    )


class Block(nn.Module):
    def __init__(self, inputs, outputs, stride):
        super().__init__()
        self.first = convolution(inputs, outputs, 3, stride)
        self.second = convolution(outputs, outputs, 3, 1)
        self.shortcut = nn.Identity() if stride == 1 else convolution(inputs, outputs, 1, stride)

    def forward(self, x):
        return torch.relu(self.second(torch.relu(self.first(x))) + self.shortcut(x))


class ResNet8(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = convolution(3, WIDTH, 3, 1)
        self.blocks = nn.Sequential(
            Block(WIDTH, WIDTH, 1), Block(WIDTH, 2 * WIDTH, 2), Block(2 * WIDTH, 4 * WIDTH, 2)
        )
        self.logits = nn.Linear(4 * WIDTH, CLASSES)

    def forward(self, x):
        return self.logits(self.blocks(torch.relu(self.stem(x))).mean(dim=(2, 3)))


def folded(model):
    """The batch norms in the convolutions before them."""
    for module in model.modules():
        for name, child in module.named_children():
            if isinstance(child, nn.Sequential) and isinstance(child[-1], nn.BatchNorm2d):
                setattr(module, name, fuse_conv_bn_eval(*child))
    return model


torch.set_num_threads(1)
torch.manual_seed(1)
images = torch.rand(BATCH, 3, 32, 32).contiguous(memory_format=torch.channels_last)
labels = torch.arange(BATCH) % CLASSES
trained = ResNet8().to(memory_format=torch.channels_last)
optimizer = torch.optim.SGD(trained.parameters(), lr=0.01, momentum=0.9, weight_decay=1e-4)
deployed = folded(ResNet8().eval()).to(memory_format=torch.channels_last).requires_grad_(False)


def train():
    optimizer.zero_grad()
    cross_entropy(trained(images), labels).backward()
    optimizer.step()


def input_gradient():
    x = images.clone().requires_grad_()
    torch.autograd.grad(-deployed(x)[:, 0].mean(), x)


def inference():
    with torch.no_grad():
        deployed(images)


WORKS = {"train": train, "input gradient": input_gradient, "inference": inference}

print(torch.__version__, flush=True)
for line in sys.stdin:
    start = time.process_time()
    WORKS[line.strip()]()
    print(1000 * (time.process_time() - start), flush=True)
