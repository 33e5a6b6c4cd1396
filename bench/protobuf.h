/* The load generator's ProtoBuf:1: an event, with all its callbacks, on one connection.
 *
 * Included by loadgen.c, whose connections, requests and counts it uses.  What it reads comes in pairs of
 * frames: a function's name and its argument, or an empty frame and the RpcReturn.  A pair is counted as an
 * RPC, so that an event with n callbacks has n + 1 of them, as in MsgPack:1.
 */
static uint64_t sequences[MAXK];
static uint64_t sequence = 1;

static uint64_t le32(P p) { return p[0] | p[1] << 8 | p[2] << 16 | (uint64_t)p[3] << 24; }
static void wvar(out_t *o, uint64_t v) {
    while (v > 127) { w8(o, (v & 127) | 128); v >>= 7; }
    w8(o, v);
}
static void wbytes(out_t *o, int tag, const void *data, size_t l) {
    w8(o, tag); wvar(o, l);
    memcpy(o->b + o->n, data, l); o->n += l;
}
static void wtext(out_t *o, int tag, const char *s) { wbytes(o, tag, s, strlen(s)); }
/* A frame's length goes before what was written since `at`, where 4 bytes were left free. */
static void wlength(out_t *o, size_t at) {
    uint64_t l = o->n - at - 4;
    for (int i = 0; i < 4; i++) o->b[at + i] = l >> (8 * i) & 255;
}

/* A call: `field` is the command's number in RpcCall, `inner` the command. */
static void pb_call(out_t *o, uint64_t seq, int field, const out_t *inner) {
    o->n = 4;
    w8(o, 0x08); wvar(o, seq);
    wvar(o, field << 3 | 2); wvar(o, inner->n);
    memcpy(o->b + o->n, inner->b, inner->n); o->n += inner->n;
    wlength(o, 0);
}

/* The end of a pair of frames, or NULL while it is incomplete. */
static P pb_whole(P p, P e) {
    for (int i = 0; i < 2; i++) {
        if (p + 4 > e) return NULL;
        uint64_t l = le32(p);
        if (p + 4 + l > e) return NULL;
        p += 4 + l;
    }
    return p;
}

/* The sequence of a RpcReturn, or 0. */
static uint64_t pb_sequence(P p, P e) {
    uint64_t v = 0;
    if (p >= e || *p++ != 0x08) return 0;
    for (int shift = 0; p < e; shift += 7) {
        v |= (uint64_t)(*p & 127) << shift;
        if (*p++ < 128) return v;
    }
    return 0;
}

static int64_t pb_start_instance(void) {
    int fd = dial(); static out_t inner, o; static unsigned char buf[BUFSZ]; size_t n = 0;
    inner.n = 0; wtext(&inner, 0x0a, plugin); wtext(&inner, 0x12, config);
    uint64_t seq = ++sequence;
    pb_call(&o, seq, 33, &inner);
    send_all(fd, &o);
    while (n < 4 || n < 4 + le32(buf)) {
        ssize_t k = read(fd, buf + n, sizeof buf - n);
        if (k <= 0) { fprintf(stderr, "cmd_start_instance: connection closed\n"); exit(1); }
        n += k;
    }
    close(fd);
    /* RpcReturn{sequence=1, instance_status=33{... instance_id=2}}: the fields in any order */
    P p = buf + 4, e = buf + n;
    while (p < e) {
        unsigned tag = *p++;
        if (tag == 0x8a && *p == 0x02) { p += 2; while (p[-1] > 127) p++; continue; } /* into the status */
        uint64_t v = 0;
        for (int shift = 0; p < e; shift += 7) { v |= (uint64_t)(*p & 127) << shift; if (*p++ < 128) break; }
        if (tag == 0x10) return v;
        if ((tag & 7) == 2) p += v;
    }
    fprintf(stderr, "cmd_start_instance: no id\n"); exit(1);
}

static void pb_start_event(int r) {
    static out_t inner, o;
    reqs[r].t0 = now_us(); sequences[r] = ++sequence;
    inner.n = 0; w8(&inner, 0x08); wvar(&inner, instances[reqs[r].inst]); wtext(&inner, 0x12, phase);
    pb_call(&o, sequences[r], 36, &inner);
    issue(r, &o);
}

static void pb_struct(out_t *o) {
    static out_t entry, value;
    for (int h = 0; h < nheaders; h++) {
        char more[32];
        value.n = entry.n = 0;
        wtext(&value, 0x1a, header_value(h));
        wtext(&entry, 0x0a, header_name(h, more, sizeof more));
        wbytes(&entry, 0x12, value.b, value.n);
        wbytes(o, 0x0a, entry.b, entry.n);
    }
}

static int ends(const char *name, const char *with) {
    size_t l = strlen(name), w = strlen(with);
    return l >= w && !strcmp(name + l - w, with);
}
static void pb_result(const char *m, out_t *o) {
    static const unsigned char number[] = {0x09, 0, 0, 0, 0, 0, 0, 0xf8, 0x3f};
    o->n = 4;
    if (ends(m, ".get_headers") || ends(m, ".get_query")) pb_struct(o);
    else if (ends(m, "_port") || ends(m, ".get_status")) { w8(o, 0x08); wvar(o, 200); }
    else if (ends(m, ".is_trusted") || ends(m, ".set_upstream")) { w8(o, 0x08); w8(o, 1); }
    else if (ends(m, "_version") || ends(m, "_time")) { memcpy(o->b + 4, number, 9); o->n += 9; }
    else if (ends(m, ".get_ctx") || ends(m, ".shared.get")) wtext(o, 0x1a, "localhost");
    else if (ends(m, ".get_memory_stats")) ;
    else if (strstr(m, ".get_") || ends(m, ".serialize")) wtext(o, 0x0a, "localhost");
    wlength(o, 0);
}

static void pb_on_message(int c, P p, P e) {
    static out_t o;
    int r = conns[c].req;
    if (r < 0) { fprintf(stderr, "unexpected frames\n"); exit(1); }
    double t = now_us();
    took(r, t);
    uint64_t l = le32(p);
    P name = p + 4, rest = name + l + 4;
    if (!l) {
        if (pb_sequence(rest, e) != sequences[r]) fail((P)"\xaf wrong sequence", e);
        release(c);
        finished(r, t);
        return;
    }
    char method[128]; snprintf(method, sizeof method, "%.*s", (int)l, (const char *)name);
    if (ends(method, ".response.exit")) {
        conns[c].req = -1;
        close(conns[c].fd); conns[c].fd = -1;
        if (reqs[r].conn == c) reqs[r].conn = -1;
        finished(r, t);
        return;
    }
    pb_result(method, &o);
    reqs[r].trpc = now_us();
    send_all(conns[c].fd, &o);
}
