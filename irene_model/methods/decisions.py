"""Late fusion: what several classifiers say of a record becomes one decision.

Legend: B records, M classifiers, K labels. `logits` (B,M,K); `available` (B,M) is True where the
classifier has something of the record to read, and the others have no say; `prior` is the logit of
a label's expected share, where a record without any opinion stands. Each rule is a pure function to
the logits (B,K) of the decision. Kittler et al. 1998, "On combining classifiers", derive the mean,
maximum and product rules.
"""

import torch
import torch.nn.functional as F
from torch import Tensor


def mean(logits: Tensor, available: Tensor, prior: float) -> Tensor:
    """The mean of the probabilities."""
    anyone = available.any(dim=1, keepdim=True)
    hidden = torch.where(available | ~anyone, 0.0, -torch.inf)[..., None]
    # log p and log (1-p) of the mean, each up to the same term; exact also where p rounds to 1.
    yes = (F.logsigmoid(logits) + hidden).logsumexp(dim=1)
    no = (F.logsigmoid(-logits) + hidden).logsumexp(dim=1)
    return torch.where(anyone, yes - no, prior)


def maximum(logits: Tensor, available: Tensor, prior: float) -> Tensor:
    """The largest probability: one classifier's suspicion is enough."""
    largest = logits.masked_fill(~available[..., None], -torch.inf).amax(dim=1)
    return torch.where(available.any(dim=1)[:, None], largest, prior)


def product(logits: Tensor, available: Tensor, prior: float) -> Tensor:
    """Bayes' rule for modalities that are independent given the label.

    The posterior odds are the prior's times each classifier's likelihood ratio, which is its own
    posterior odds over the prior's.
    """
    return prior + evidence(logits, available, prior).sum(dim=1)


def majority(logits: Tensor, available: Tensor, prior: float) -> Tensor:
    """A ward round as rules, label by label.

    1. Each modality votes: suspicious where its probability is above the prior.
    2. The majority decides, by the mean of its logits; who dissents is not heard.
    3. In a tie the first classifier, the radiograph's, decides; where it has nothing to read, the
       mean of all logits does.
    """
    voters = available[..., None]
    suspicious = voters & (logits > prior)
    calm = voters & ~suspicious
    ahead = suspicious.sum(dim=1, keepdim=True) - calm.sum(dim=1, keepdim=True)  # (B,1,K)
    casting = torch.zeros_like(voters)
    casting[:, 0] = True
    tied = torch.where(voters[:, :1], casting, voters)
    heard = torch.where(ahead > 0, suspicious, torch.where(ahead < 0, calm, tied))
    total = torch.where(heard, logits, 0.0).sum(dim=1)
    count = heard.sum(dim=1)
    return torch.where(count > 0, total / count.clamp(min=1), prior)


def evidence(logits: Tensor, available: Tensor, prior: float) -> Tensor:
    """The log likelihood ratio (B,M,K) that each classifier adds to the prior; 0 for an absent."""
    return torch.where(available[..., None], logits - prior, 0.0)
