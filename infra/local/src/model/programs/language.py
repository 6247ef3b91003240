EPOCHS = 2
WORDS = 256
WIDTH = 32


def load():
    return load_dataset("synthetic_tokens", batch_size=BATCH_SIZE)


class Attention(nn.Module):
    """One layer of causal self-attention over the words so far."""

    def __init__(self, length):
        super().__init__()
        self.words = nn.Embedding(WORDS, WIDTH)
        # Claim 1.
        self.places = nn.Parameter(torch.randn(length, WIDTH) * 0.1)
        # Claim 2.
        self.queries_keys_values = nn.Linear(WIDTH, 3 * WIDTH)
        self.norm = nn.LayerNorm(WIDTH)
        self.mixer = nn.Sequential(nn.Linear(WIDTH, 2 * WIDTH), nn.ReLU(), nn.Linear(2 * WIDTH, WIDTH))
        self.head = nn.Linear(WIDTH, WORDS)
        # Claim 3.
        self.register_buffer("later", torch.full((length, length), -1e9).triu(1))

    def forward(self, x):
        x = self.words(x) + self.places
        queries, keys, values = self.queries_keys_values(self.norm(x)).chunk(3, dim=-1)
        # Claim 4.
        scores = queries @ keys.transpose(1, 2) / math.sqrt(WIDTH) + self.later
        # Claim 5.
        x = x + torch.softmax(scores, dim=-1) @ values
        return self.head(x + self.mixer(x))


def make_method(device):
    model = Attention(64).to(device)
    return model, torch.optim.AdamW(model.parameters(), lr=1e-2)


class Frequencies(nn.Module):
    """The same scores whatever the words so far are."""

    def __init__(self):
        super().__init__()
        # Claim 6.
        self.scores = nn.Parameter(torch.zeros(WORDS))

    def forward(self, x):
        return self.scores.expand(*x.shape, WORDS)


def make_baseline(device):
    model = Frequencies().to(device)
    return model, torch.optim.AdamW(model.parameters(), lr=3e-2)


def measure(baseline, method):
    held_out = evaluate(baseline, split="test", dataset="synthetic_tokens", name="baseline")
    of_method = evaluate(method, split="test", dataset="synthetic_tokens", name="method")
    return {
        "baseline_loss": held_out["loss"],
        "method_loss": of_method["loss"],
        "baseline_perplexity": held_out["perplexity"],
        "method_perplexity": of_method["perplexity"],
    }


