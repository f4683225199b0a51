/* SPDX-License-Identifier: Apache-2.0 */
/* Text from a model's folder, token by token, in C.
 *   generate MODEL PROMPT [DEVICE] */
#include <stdio.h>
#include <string.h>
#include <warpwright/c.h>

static int failed(const char* what) {
    fprintf(stderr, "%s: %s\n", what, ww_last_error());
    return 1;
}

/* The prompt as a JSON string; control characters do not occur on a command line. */
static void print_json(const char* text, char* out, size_t bytes) {
    size_t at = 0;
    out[at++] = '"';
    for (; *text != 0 && at + 3 < bytes; ++text) {
        if (*text == '"' || *text == '\\') out[at++] = '\\';
        out[at++] = *text;
    }
    out[at++] = '"';
    out[at] = 0;
}

int main(int argc, char** argv) {
    ww_context* context = NULL;
    ww_engine* engine = NULL;
    ww_engine_options options = {.struct_size = sizeof(ww_engine_options), .max_sequences = 1};
    char prompt[4096], request[5000];
    int32_t sequence, num_tokens, i;
    if (argc < 3) {
        fprintf(stderr, "usage: generate MODEL PROMPT [DEVICE]\n");
        return 2;
    }
    if (ww_context_open(argc > 3 ? argv[3] : "auto", NULL, &context) != WW_OK) return failed("device");
    if (ww_engine_create(context, argv[1], &options, &engine) != WW_OK) return failed("model");
    ww_context_close(context); /* the engine keeps it */

    print_json(argv[2], prompt, sizeof prompt);
    snprintf(request, sizeof request, "{\"prompt\": %s, \"max_tokens\": 24}", prompt);
    if (ww_engine_add(engine, request, &sequence) != WW_OK) return failed("request");
    printf("%s", argv[2]);
    while (!ww_engine_idle(engine)) {
        if (ww_engine_step(engine, &num_tokens) != WW_OK) return failed("step");
        for (i = 0; i < num_tokens; ++i) {
            fputs(ww_engine_token(engine, i)->text, stdout);
            fflush(stdout);
        }
    }
    printf("\n");
    ww_engine_free(engine);
    return 0;
}
