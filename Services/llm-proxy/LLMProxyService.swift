@main
struct LLMProxyService {
    static func main() {}
}
