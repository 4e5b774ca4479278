/* A program that uses a library. */
int answer(void);

int main(void) { return answer(); }
