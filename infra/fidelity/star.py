def iteration(base, model, generate, finetune, problems):
    kept = []
    for question, answer in problems:
        rationale, guess = generate(model, question, hint=None)
        if guess == answer:
            kept.append((question, rationale, answer))
            continue
        rationale, guess = generate(model, question, hint=answer)
        if guess == answer:
            kept.append((question, rationale, answer))
    return finetune(base, kept)


def star(base, generate, finetune, problems, rounds=3):
    model = base
    for _ in range(rounds):
        model = iteration(base, model, generate, finetune, problems)
    return model
