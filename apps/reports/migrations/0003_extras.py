from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("reports", "0002_names_of_the_snapshot"),
    ]

    operations = [
        migrations.AddField(
            model_name="evaluation",
            name="extras",
            field=models.JSONField(default=dict),
        ),
    ]
