"""Images, samples, labels, categories, imports and snapshots."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.conf import settings
from django.db import models
from django.db.models import F, Q

from apps.core.natural import Natural

if TYPE_CHECKING:
    from apps.accounts.models import Role, User


class DatasetQuerySet(models.QuerySet["Dataset"]):
    def for_user(self, user: User, role: Role | int = 0) -> DatasetQuerySet:
        """The datasets in which a person has at least `role`."""
        if user.is_superuser:
            return self
        return self.filter(memberships__user=user, memberships__role__gte=role)


class Dataset(models.Model):
    """A named collection of samples with its labels. Everything else belongs to one."""

    name = models.CharField(max_length=120, unique=True)
    description = models.TextField(blank=True)
    is_demo = models.BooleanField(default=False)
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)

    objects = DatasetQuerySet.as_manager()

    def __str__(self) -> str:
        return self.name


class Category(models.Model):
    """A group of labels."""

    dataset = models.ForeignKey(Dataset, on_delete=models.CASCADE, related_name="categories")
    name = models.CharField(max_length=200)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["dataset", "name"], name="category_name_once")]
        verbose_name_plural = "categories"

    def __str__(self) -> str:
        return self.name


class Label(models.Model):
    """One identity. `version` grows with every edit; an edit of an older version is refused."""

    dataset = models.ForeignKey(Dataset, on_delete=models.CASCADE, related_name="labels")
    category = models.ForeignKey(Category, null=True, blank=True, on_delete=models.SET_NULL, related_name="labels")
    name = models.CharField(max_length=200)
    version = models.PositiveIntegerField(default=1)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["dataset", "name"], name="label_name_once")]
        indexes = [models.Index("dataset", Natural("name"), "name", name="label_by_natural_name")]

    def __str__(self) -> str:
        return self.name


class Image(models.Model):
    """One file, known by its content. The bytes are at `images/<sha256[:2]>/<sha256>`, written once."""

    sha256 = models.CharField(max_length=64, unique=True)
    width = models.PositiveIntegerField()  # pixels, after EXIF rotation
    height = models.PositiveIntegerField()
    format = models.CharField(max_length=16)  # what the decoder saw: JPEG, PNG, WEBP, ...
    size_bytes = models.PositiveBigIntegerField()

    def __str__(self) -> str:
        return self.sha256[:12]

    @property
    def key(self) -> str:
        """Its name in the storage."""
        return f"images/{self.sha256[:2]}/{self.sha256}"


class Split(models.TextChoices):
    TRAIN = "train"
    VALIDATION = "validation"


class SampleQuerySet(models.QuerySet["Sample"]):
    def for_user(self, user: User, role: Role | int = 0) -> SampleQuerySet:
        if user.is_superuser:
            return self
        return self.filter(dataset__memberships__user=user, dataset__memberships__role__gte=role)


class Sample(models.Model):
    """One photo, or one box inside a photo. `category` repeats its label's, so that listing by it has an index."""

    dataset = models.ForeignKey(Dataset, on_delete=models.CASCADE, related_name="samples")
    image = models.ForeignKey(Image, on_delete=models.PROTECT, related_name="samples")
    label = models.ForeignKey(Label, null=True, blank=True, on_delete=models.PROTECT, related_name="samples")
    category = models.ForeignKey(Category, null=True, blank=True, on_delete=models.SET_NULL, related_name="+")
    path = models.CharField(max_length=1000)  # as it came in
    split = models.CharField(max_length=12, choices=Split.choices, blank=True)
    is_query = models.BooleanField(default=False)
    is_gallery = models.BooleanField(default=False)
    sequence = models.CharField(max_length=200, blank=True)
    x_1 = models.PositiveIntegerField(null=True, blank=True)  # pixels, after EXIF rotation
    y_1 = models.PositiveIntegerField(null=True, blank=True)
    x_2 = models.PositiveIntegerField(null=True, blank=True)
    y_2 = models.PositiveIntegerField(null=True, blank=True)
    version = models.PositiveIntegerField(default=1)

    objects = SampleQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["dataset", "image", "x_1", "y_1", "x_2", "y_2"],
                name="sample_once_per_image_and_box",
                nulls_distinct=False,
            ),
            models.CheckConstraint(
                condition=Q(x_1__isnull=True, y_1__isnull=True, x_2__isnull=True, y_2__isnull=True)
                | Q(x_1__lt=F("x_2"), y_1__lt=F("y_2")),
                name="box_whole_or_absent",
            ),
            models.CheckConstraint(
                condition=Q(split=Split.VALIDATION) | Q(is_query=False, is_gallery=False),
                name="only_validation_searches",
            ),
        ]
        indexes = [
            models.Index(fields=["dataset", "id"]),
            models.Index(fields=["dataset", "label", "id"]),
            models.Index(fields=["dataset", "category", "id"]),
            models.Index(fields=["dataset", "split", "id"]),
        ]

    def __str__(self) -> str:
        return f"sample {self.pk}"

    @property
    def box(self) -> tuple[int, int, int, int] | None:
        if self.x_1 is None or self.y_1 is None or self.x_2 is None or self.y_2 is None:
            return None
        return self.x_1, self.y_1, self.x_2, self.y_2


class Import(models.Model):
    """One upload on its way into a dataset. Its job shows the bar; its files show each one's fate."""

    dataset = models.ForeignKey(Dataset, on_delete=models.CASCADE, related_name="imports")
    job = models.OneToOneField("jobs.Job", null=True, on_delete=models.SET_NULL, related_name="dataset_import")
    file_name = models.CharField(max_length=300)
    upload_key = models.CharField(max_length=300)
    size_bytes = models.PositiveBigIntegerField()
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)
    counts = models.JSONField(default=dict)  # {"added": n, "duplicate": n, "refused": n}
    problems = models.JSONField(default=list)  # [{"row": 7, "column": "path", "message": ..., "remedy": ...}]

    def __str__(self) -> str:
        return f"import of {self.file_name}"


class ImportFile(models.Model):
    """The fate of one file of an import: the ledger that lets it resume and never double."""

    class Outcome(models.TextChoices):
        ADDED = "added"
        DUPLICATE = "duplicate"
        REFUSED = "refused"

    dataset_import = models.ForeignKey(Import, on_delete=models.CASCADE, related_name="files")
    position = models.PositiveIntegerField()  # its place in the import's own order
    path = models.CharField(max_length=1000)
    outcome = models.CharField(max_length=12, choices=Outcome.choices)
    message = models.CharField(max_length=500, blank=True)
    sample = models.ForeignKey(Sample, null=True, on_delete=models.SET_NULL, related_name="+")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["dataset_import", "position"], name="one_fate_per_file")]
        indexes = [models.Index(fields=["dataset_import", "outcome", "id"])]

    def __str__(self) -> str:
        return f"{self.path}: {self.outcome}"


class SnapshotQuerySet(models.QuerySet["Snapshot"]):
    def for_user(self, user: User, role: Role | int = 0) -> SnapshotQuerySet:
        if user.is_superuser:
            return self
        return self.filter(dataset__memberships__user=user, dataset__memberships__role__gte=role)


class Snapshot(models.Model):
    """A frozen, checksummed copy of a dataset's table: the parquet manifest at `manifest_key`."""

    dataset = models.ForeignKey(Dataset, on_delete=models.PROTECT, related_name="snapshots")
    number = models.PositiveIntegerField()
    manifest_key = models.CharField(max_length=300)
    sha256 = models.CharField(max_length=64)  # of the manifest file
    counts = models.JSONField(default=dict)  # samples, labels, categories, train, validation, queries, gallery
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)

    objects = SnapshotQuerySet.as_manager()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["dataset", "number"], name="snapshot_number_once")]

    def __str__(self) -> str:
        return f"{self.dataset} snapshot {self.number}"
