import JSON
import Postgres
import Values

/// Stripe's customer of a user, made when the user first wants to pay.
struct StripeCustomers: Sendable {
    let operations: StripeOperations

    /// Returns Stripe's customer of a user, and makes it if there is none. Callers at the same time get the same one.
    func ensure(_ customer: Customer) async throws -> String {
        if let id = customer.stripeCustomerID { return id }
        let object: JSONObject
        do {
            object = try await operations.perform(
                .customer, subject: customer.userID.description, path: "/v1/customers",
                form: ["email": customer.email, "metadata[user_id]": customer.userID.description],
                key: "cus-\(customer.userID)-\(customer.generation)"
            ) { object, transaction in
                try await transaction.execute(
                    SetStripeCustomer(
                        userID: customer.userID, generation: customer.generation, stripeCustomerID: try object.stripeString("id")))
            }
        } catch StripeError.refused(let refusal) {
            // The next attempt, perhaps with another address, needs another key.
            try await operations.pool.execute(SkipStripeGeneration(userID: customer.userID, generation: customer.generation))
            throw StripeError.refused(refusal)
        }
        return try object.stripeString("id")
    }
}
