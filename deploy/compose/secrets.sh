#!/bin/sh
# Write what compose.yaml reads as secrets, where it is missing: a certificate of a CA of its own, an admin token, Grafana's
# password. Files of your own with the same names (a certificate that your clients trust, say) are left as they are.
#
#   sh deploy/compose/secrets.sh [NAME…]     NAME: how clients call this machine; localhost and 127.0.0.1 are always in.
set -eu
umask 022
folder=$(dirname "$0")/secrets
mkdir -p "$folder"
# The folder keeps others out. The files are readable, because containers read them under another user.
chmod 700 "$folder"
cd "$folder"
# What is made gets its name once it is whole: a run that fails leaves nothing that the next one would take for good.
new=$(mktemp -d ./new.XXXXXX)
trap 'rm -rf "$new"' EXIT
trap 'exit 1' HUP INT TERM

silent_if_well() {
  "$@" 2> "$new/said" || { cat "$new/said" >&2; exit 1; }
}

for pair in "tls.crt tls.key" "tls.key tls.crt"; do
  if [ -e "${pair% *}" ] && ! [ -e "${pair#* }" ]; then
    echo "secrets/${pair% *} is there, secrets/${pair#* } is not: put it beside it, or take the one away to have both made" >&2
    exit 1
  fi
done
if ! [ -e tls.crt ]; then
  names="DNS:localhost,IP:127.0.0.1"
  for name; do
    case $name in
      *:*) names="$names,IP:$name" ;;
      *[!0-9.]*) names="$names,DNS:$name" ;;
      *) names="$names,IP:$name" ;;
    esac
  done
  # An authority that clients trust already goes on: to renew the certificate, remove tls.crt and tls.key alone.
  if [ -e ca.key ] && [ -e ca.crt ]; then
    cp ca.key ca.crt "$new"
  elif [ -e ca.key ] || [ -e ca.crt ]; then
    echo "secrets/ca.crt and ca.key: one of them is missing: put it beside the other, or take that away to have a new authority made, which clients have to trust anew" >&2
    exit 1
  else
    silent_if_well openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 3650 -subj "/CN=Distillex CA" \
      -addext "basicConstraints=critical,CA:TRUE" -addext "keyUsage=critical,keyCertSign" \
      -keyout "$new/ca.key" -out "$new/ca.crt"
    chmod 600 "$new/ca.key"
  fi
  silent_if_well openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj "/CN=distillex" \
    -keyout "$new/tls.key" -out "$new/request.pem"
  printf 'subjectAltName=%s\nextendedKeyUsage=serverAuth\n' "$names" > "$new/extensions"
  silent_if_well openssl x509 -req -in "$new/request.pem" -CA "$new/ca.crt" -CAkey "$new/ca.key" -CAcreateserial -days 397 \
    -sha256 -extfile "$new/extensions" -out "$new/tls.crt"
  chmod 644 "$new/tls.key"
  [ -e ca.key ] || mv "$new/ca.key" "$new/ca.crt" .
  mv "$new/tls.key" "$new/tls.crt" .
  echo "secrets/tls.crt, tls.key: for $names, valid for 397 days; clients trust secrets/ca.crt"
fi
# By the last one the gate signs whose call it is, where there are tenants (compose.tenants.yaml).
for secret in admin_token grafana_password tenants/secret; do
  if ! [ -e $secret ]; then
    drawn="$new/${secret#*/}"
    silent_if_well openssl rand -hex -out "$drawn" 24
    chmod 644 "$drawn"
    mkdir -p "$(dirname $secret)"
    mv "$drawn" $secret
    echo "secrets/$secret: drawn"
  fi
done
