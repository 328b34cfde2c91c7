from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("accounts", "0002_initial")]

    operations = [migrations.AlterModelOptions(name="apitoken", options={"verbose_name": "API token"})]
