#!/usr/bin/env bash
# Downloads the latest complete series as a ZIP archive of its files: latest.sh FOLDER
# Needs curl and Python's json; where instances are not kept (STORE_URL), the last step is refused.
set -euo pipefail
api=${API_URL:-http://127.0.0.1:8000}
folder=$1
ask() { curl --fail-with-body --silent --show-error ${TOKEN:+-H "Authorization: Bearer $TOKEN"} "$@"; }

ask "$api/series?limit=1&sort=-CompletedAt&fields=StudyInstanceUID,SeriesInstanceUID" >"$folder/latest.json"
read -r study series < <(python3 -c 'import json, sys
for it in json.load(sys.stdin): print(it["StudyInstanceUID"], it["SeriesInstanceUID"])' <"$folder/latest.json")
ask -H 'Accept: application/zip' -o "$folder/$series.zip" "$api/dicom-web/studies/$study/series/$series"
echo "$folder/$series.zip"
