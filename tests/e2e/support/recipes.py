"""Variants of the nginx recipe, for the real nginx and for `sentry-edge-mirror import`.

Each is what stands in the server and, where it is not the usual map, in `http`. RELAY and RUM are the ports of the two.
"""

MAP = "map $request_uri $prefix { ~^/api/1/ /rum/sentry/w/one; default /rum/sentry/w/rest; }"
MIRROR = "location = /m { internal; proxy_pass http://127.0.0.1:RUM$prefix$request_uri; proxy_set_header Host rum.example.com; }"
RELAY = "proxy_pass http://127.0.0.1:RELAY;"
MIRRORED = f"mirror /m; {RELAY}"
INGEST = f"location ~ ^/api/[1-9]\\d*/ {{ {MIRRORED} }}"

# Rules of the server beside the usual map and mirror.
RULES = {
    "everything": f"location / {{ {MIRRORED} }}",
    "as-published": f"{INGEST} location / {{ {RELAY} }}",
    "off": f"mirror /m; location / {{ {RELAY} }} location ^~ /api/7/ {{ mirror off; {RELAY} }}",
    "another-location": f"{INGEST} location ^~ /api/7/ {{ {RELAY} }} location = /api/8/envelope/ {{ {RELAY} }}",
    "a-prefix-that-loses": f"{INGEST} location /api/7/ {{ {RELAY} }}",
    "the-first-expression": f"location ~ ^/api/(5|6)/ {{ {RELAY} }} {INGEST} location ~ ^/api/9/ {{ {RELAY} }}",
    "the-case": f"location ~* ^/API/5/ {{ {RELAY} }} location ~ ^/API/6/ {{ {RELAY} }} {INGEST}",
    "the-longest-prefix": f"location /api/ {{ {MIRRORED} }} location /api/1 {{ {MIRRORED} }} location /api/10/ {{ {RELAY} }}",
    "tight": f"location =/api/8/envelope/ {{ {RELAY} }} location ^~/api/7/ {{ {RELAY} }} location / {{ {MIRRORED} }}",
    "nested": f"location /api/ {{ {MIRRORED} location ~ ^/api/3/ {{ mirror off; {RELAY} }} location /api/4/ {{ {RELAY} }} }}",
    "nested-expression-before-outer": f"location /api/ {{ {RELAY} location ~ ^/api/3/ {{ {MIRRORED} }} }} location ~ /4/ {{ {MIRRORED} }}",
    "nested-in-expression": f"location ~ ^/api/\\d+/ {{ {MIRRORED} location ~ ^/api/3/ {{ mirror off; {RELAY} }} }}",
    "inherited-and-off": f"mirror /m; location /api/ {{ {RELAY} location ^~ /api/20/ {{ mirror off; {RELAY} }} }}",
    "refused": f"location /api/ {{ {MIRRORED} }} location ^~ /api/7/ {{ return 403; }} location ^~ /api/8/ {{ mirror /m; deny all; {RELAY} }}",
    "if-in-server": f"if ($request_uri ~ ^/api/7/) {{ return 403; }} {INGEST}",
    "if-in-location": f"location /api/ {{ if ($uri ~* ^/API/(8|9)/) {{ return 444; }} {MIRRORED} }}",
    "if-method": f"location /api/ {{ if ($request_method = OPTIONS) {{ return 204; }} {MIRRORED} }}",
    "if-with-a-target-of-its-own": f"location /api/ {{ mirror /m; if ($request_uri ~ /2/) {{ {RELAY} }} {RELAY} }}",
    "set-and-if": f"""set $skip ""; if ($request_uri ~ ^/api/(7|8)/) {{ set $skip 1; }} location /api/ {{ mirror /n; {RELAY} }}
        location = /n {{ internal; if ($skip) {{ return 204; }} proxy_pass http://127.0.0.1:RUM$prefix$request_uri; }}""",
    "rewritten-away": f"location /api/ {{ rewrite ^/api/7/ /quiet last; {MIRRORED} }} location /quiet {{ {RELAY} }}",
    "rewritten-and-kept": f"location /api/ {{ rewrite ^/api/7/(.*) /api/8/$1 break; {MIRRORED} }}",
    "try-files": f"""location /api/ {{ {MIRRORED} }} location ^~ /api/7/ {{ try_files $uri @quiet; }} location ^~ /api/8/ {{ try_files $uri @loud; }}
        location @quiet {{ {RELAY} }} location @loud {{ {MIRRORED} }}""",
    "error-page": f"location /api/ {{ {MIRRORED} }} location ^~ /api/9/ {{ error_page 418 = @quiet; return 418; }} location @quiet {{ {RELAY} }}",
    "only-some": f"location ~ ^/api/(1|2)/ {{ {MIRRORED} }} location / {{ {RELAY} }}",
    "look-ahead": f"location ~ ^/api/(?!7/)\\d+/ {{ {MIRRORED} }} location / {{ {RELAY} }}",
    "two-mirrors": f"""location / {{ {MIRRORED} }} location ^~ /api/9/ {{ mirror /n; {RELAY} }}
        location = /n {{ internal; proxy_pass http://127.0.0.1:RUM/rum/sentry/own/nine$request_uri; }}""",
    "rewritten-prefix": f"""location /api/ {{ mirror /n; {RELAY} }}
        location = /n {{ internal; if ($request_uri ~ "^([^?]*)") {{ set $path $1; }} rewrite ^ /rum/sentry/w/rewritten$path break;
        proxy_pass http://127.0.0.1:RUM; }}""",
    "prefix-by-if": f"""location /api/ {{ mirror /n; {RELAY} }} location = /n {{ internal; set $at /rum/sentry/w/all;
        if ($request_uri ~ ^/api/(2|3)/) {{ set $at /rum/sentry/w/few; }} proxy_pass http://127.0.0.1:RUM$at$request_uri; }}""",
}

# Other maps, for a server that mirrors everything.
MAPS = {
    "the-case-of-keys": "map $request_uri $prefix { /API/10/Envelope/ /rum/sentry/w/ten; default /rum/sentry/w/rest; }",
    "empty": "map $request_uri $prefix { ~^/api/7/ ''; default /rum/sentry/w/rest; }",
    "elsewhere": "map $request_uri $prefix { ~^/api/7/ /other; default /rum/sentry/w/rest; }",
    "no-default": "map $request_uri $prefix { ~^/api/(1|2)/ /rum/sentry/w/few; }",
    "order": "map $request_uri $prefix { ~^/api/1\\d/ /rum/sentry/w/tens; ~^/api/10/ /rum/sentry/w/never; default /rum/sentry/w/rest; }",
    "of-uri": "map $uri $prefix { ~^/api/1/ /rum/sentry/w/never; /m /rum/sentry/w/all; default /rum/sentry/w/rest; }",
    "named-group": """map $request_uri $id { "~^/api/(?<number>[0-9]+)/" $number; }
        map $id $prefix { 1 /rum/sentry/w/one; ~^(20|21)$ /rum/sentry/w/twenty; 7 ''; default /rum/sentry/w/rest; }""",
    "two-steps": """map $request_uri $team { ~^/api/(1|2)/ web; ~^/api/3/ none; default rest; }
        map $team $prefix { WEB /rum/sentry/shop/web; none ''; default /rum/sentry/w/rest; }""",
    "escaped": "map $request_uri $prefix { \\/api/1/envelope/ /rum/sentry/w/one; default /rum/sentry/w/rest; }",
    "with-the-query": "map $request_uri $prefix { ~^/api/5/envelope/\\?sentry_ /rum/sentry/w/five; ~^/api/6/envelope/$ ''; default /rum/sentry/w/rest; }",
}


def texts() -> dict[str, str]:
    """Whole configurations, by name, without their ports."""

    def text(http: str, server: str) -> str:
        return f"""pid logs/nginx.pid;
events {{ worker_connections 512; }}
http {{
    access_log off;
    {http}
    server {{
        listen 127.0.0.1:PORT;
        {MIRROR}
        {server}
    }}
}}
"""

    return {name: text(MAP, rules) for name, rules in RULES.items()} | {
        f"map-{name}": text(maps, RULES["everything"]) for name, maps in MAPS.items()
    }
