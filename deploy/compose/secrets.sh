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

if ! [ -e tls.crt ] && ! [ -e tls.key ]; then
  names="DNS:localhost,IP:127.0.0.1"
  for name; do
    case $name in
      *[!0-9.]*) names="$names,DNS:$name" ;;
      *) names="$names,IP:$name" ;;
    esac
  done
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 3650 -subj "/CN=Distillex CA" \
    -addext "basicConstraints=critical,CA:TRUE" -addext "keyUsage=critical,keyCertSign" \
    -keyout ca.key -out ca.crt 2>/dev/null
  openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj "/CN=distillex" \
    -keyout tls.key -out request.pem 2>/dev/null
  printf 'subjectAltName=%s\nextendedKeyUsage=serverAuth\n' "$names" > extensions
  openssl x509 -req -in request.pem -CA ca.crt -CAkey ca.key -days 397 -sha256 -extfile extensions -out tls.crt 2>/dev/null
  rm request.pem extensions
  chmod 600 ca.key
  chmod 644 tls.key
  echo "secrets/tls.crt, tls.key: for $names, valid for 397 days; clients trust secrets/ca.crt"
fi
for secret in admin_token grafana_password; do
  if ! [ -e $secret ]; then
    openssl rand -hex 24 > $secret
    echo "secrets/$secret: drawn"
  fi
done
