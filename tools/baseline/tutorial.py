"""The published sentiment model: BERT, a two-layer bidirectional GRU, dropout, one linear unit.

Same attributes (`bert`, `rnn`, `out`) and sizes as the public tutorial's `BERTGRUSentiment`, so its state dict is what
Tenon writes. It differs in one thing: `forward` takes the lengths, so that padding can be left out.
"""

import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence

from common import attention_mask


class SentimentModel(nn.Module):
    def __init__(self, bert, hidden_size=256, layers=2, dropout=0.25, bidirectional=True):
        super().__init__()
        self.bert = bert
        self.rnn = nn.GRU(
            bert.config.hidden_size, hidden_size, layers, bidirectional=bidirectional, batch_first=True, dropout=dropout
        )
        self.out = nn.Linear((2 if bidirectional else 1) * hidden_size, 1)
        self.dropout = nn.Dropout(dropout)

    def features(self, input_ids, lengths):
        """Padded ids (B, L) to hidden states (B, L, H); padding is masked."""
        return self.bert(input_ids, attention_mask=attention_mask(lengths)).last_hidden_state

    def head(self, features, lengths):
        """Logits (B) of hidden states (B, L, H); the GRU ends at each sequence's own last token."""
        packed = pack_padded_sequence(features, lengths, batch_first=True, enforce_sorted=False)
        hidden = self.rnn(packed)[1]  # (layers * 2, B, hidden_size)
        return self.out(self.dropout(torch.cat((hidden[-2], hidden[-1]), dim=1))).squeeze(1)

    def forward(self, input_ids, lengths):
        return self.head(self.features(input_ids, lengths), lengths)
