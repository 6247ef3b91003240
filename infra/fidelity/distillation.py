import torch
import torch.nn.functional as F


def distillation_loss(student_logits, teacher_logits, y, temperature=4.0, weight=0.9):
    teacher = F.softmax(teacher_logits.detach() / temperature, dim=-1)
    student = F.log_softmax(student_logits / temperature, dim=-1)
    soft = F.kl_div(student, teacher, reduction="batchmean") * temperature**2
    hard = F.cross_entropy(student_logits, y)
    return weight * soft + (1 - weight) * hard


def train_step(student, teacher, optimizer, x, y):
    with torch.no_grad():
        teacher_logits = teacher(x)
    loss = distillation_loss(student(x), teacher_logits, y)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss.detach()
