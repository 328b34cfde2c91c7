"""Reports keep the names that their snapshot has; those of reports that are there already come from its manifest."""

import django.db.models.deletion
from django.core.files.storage import default_storage
from django.db import migrations, models

from mlcore.errors import InputError
from mlcore.manifest import read_manifest

ROWS_PER_UPDATE = 500


def names_fill(apps, schema_editor):
    """A manifest that is gone or broken leaves the names empty, and the report's page says that they were not kept."""
    QueryResult = apps.get_model("reports", "QueryResult")
    for evaluation in apps.get_model("reports", "Evaluation").objects.select_related("snapshot"):
        names = names_of(evaluation.snapshot)
        rows = []
        for row in evaluation.queries.order_by("pk").iterator(chunk_size=ROWS_PER_UPDATE):
            row.label, row.category = names.get(row.sample_id, ("", ""))
            for entry in row.neighbours:
                entry["label"] = names.get(entry["sample"], ("", ""))[0]
            rows.append(row)
        QueryResult.objects.bulk_update(rows, ["label", "category", "neighbours"], batch_size=ROWS_PER_UPDATE)


def names_of(snapshot):
    try:
        with default_storage.open(snapshot.manifest_key) as file:
            frame = read_manifest(file.read())
    except (OSError, InputError):
        return {}
    columns = frame["sample_id"], frame["label"], frame["category"].fillna("")
    return {sample_id: (label, category) for sample_id, label, category in zip(*map(list, columns), strict=True)}


class Migration(migrations.Migration):
    dependencies = [
        ("datasets", "0002_initial"),
        ("reports", "0001_initial"),
    ]

    operations = [
        migrations.AddField(
            model_name="queryresult",
            name="label",
            field=models.CharField(default="", max_length=200),
            preserve_default=False,
        ),
        migrations.AddField(
            model_name="queryresult",
            name="category",
            field=models.CharField(blank=True, default="", max_length=200),
            preserve_default=False,
        ),
        migrations.AlterField(
            model_name="queryresult",
            name="sample",
            field=models.ForeignKey(
                null=True, on_delete=django.db.models.deletion.SET_NULL, related_name="+", to="datasets.sample"
            ),
        ),
        migrations.RunPython(names_fill, migrations.RunPython.noop),
    ]
